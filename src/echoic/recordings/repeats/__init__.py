"""What is heard again and again inside of long recordings and across them, without any reference."""
