// The screen, by noVNC.
import { RFB, keysyms } from "./novnc-1.7.0.js";

export function show(place, socket) {
  const screen = document.createElement("div");
  place.append(screen);
  const rfb = new RFB(screen, socket, { shared: true });
  rfb.scaleViewport = true;
  rfb.focusOnClick = true;
  rfb.addEventListener("connect", () => rfb.focus());
  // A console has no clipboard to share: what is pasted is typed, a key at a time.
  const type = (text) => {
    for (const character of text.replaceAll("\r\n", "\n")) {
      const code = character === "\n" ? 0xff0d : character === "\t" ? 0xff09 : keysyms.lookup(character.codePointAt(0));
      rfb.sendKey(code, null);
    }
  };
  return { type, ctrlAltDel: () => rfb.sendCtrlAltDel(), focus: () => rfb.focus() };
}
