// The serial line, by xterm.js.
import { FitAddon, Terminal } from "./xterm-6.0.0.js";

export function show(place, socket) {
  const screen = document.createElement("div");
  place.append(screen);
  const terminal = new Terminal({ cursorBlink: true, scrollback: 5000, screenReaderMode: false });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  fit.fit();
  addEventListener("resize", () => fit.fit());

  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => terminal.focus());
  socket.addEventListener("message", ({ data }) => terminal.write(new Uint8Array(data)));
  const send = (bytes) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
  };
  const encoder = new TextEncoder();
  terminal.onData((text) => send(encoder.encode(text)));
  terminal.onBinary((text) => send(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  // A line ends with what the Enter key sends.
  const type = (text) => send(encoder.encode(text.replace(/\r?\n/g, "\r")));
  return { type, focus: () => terminal.focus() };
}
