// The microphone, as it hears: nothing that a telephone would do to a voice is done to the sound.

const MOST_SECONDS = 60;

/** Why there is no microphone; empty if there is one to ask for. */
export function whyNone() {
  if (navigator.mediaDevices?.getUserMedia && window.MediaRecorder) return "";
  return window.isSecureContext
    ? "This browser cannot record."
    : "Browsers record only over https, or from this very machine (http://localhost). Drop a file instead.";
}

/** Begin to record; returns what stops it, which gives the sound, and calls `told` with seconds. */
export async function record(told) {
  const plain = { autoGainControl: false, noiseSuppression: false, echoCancellation: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    throw new Error(
      error.name === "NotAllowedError"
        ? "The microphone may not be used; allow it in the browser's address bar."
        : "There is no microphone that could be used.",
    );
  }
  const recorder = new MediaRecorder(stream);
  const chunks = [];
  recorder.addEventListener("dataavailable", ({ data }) => chunks.push(data));
  const over = new Promise((resolve) => {
    recorder.addEventListener("stop", () => {
      stream.getTracks().forEach((track) => track.stop());
      resolve(new Blob(chunks, { type: recorder.mimeType }));
    });
  });
  const begun = performance.now();
  const ticking = setInterval(() => {
    const seconds = (performance.now() - begun) / 1000;
    told(seconds);
    if (seconds >= MOST_SECONDS && recorder.state !== "inactive") recorder.stop();
  }, 100);
  over.then(() => clearInterval(ticking));
  recorder.start(500);
  return {
    over,
    stop() {
      if (recorder.state !== "inactive") recorder.stop();
    },
  };
}
