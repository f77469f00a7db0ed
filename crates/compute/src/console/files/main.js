// One console: the token out of the address, a WebSocket, and the machine's screen or serial line on it.
const byId = (id) => document.getElementById(id);
const state = byId("state");
const isSerial = new URLSearchParams(location.search).get("type") === "serial";

// The token is good once. It must not stay in the history, nor be sent anywhere but in the WebSocket's handshake.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname + location.search);

function over(reason) {
  state.textContent = `${reason} To go on, open another console session.`;
  state.classList.add("over");
  for (const button of document.querySelectorAll("header button")) button.disabled = button.id !== "full";
}

async function begin() {
  const base = location.href.replace(/[?#].*$/, "").replace(/\/$/, "").replace(/^http/, "ws");
  const client = await import(isSerial ? "./terminal.js" : "./screen.js");
  const socket = new WebSocket(`${base}/ws`, ["onet.console", `token.${token}`]);
  let wasOpen = false;
  socket.addEventListener("open", () => {
    wasOpen = true;
    state.textContent = isSerial ? "Connected. Press Enter if nothing is shown." : "Connected.";
  });
  socket.addEventListener("close", ({ reason }) => {
    const unopened = "The console could not be opened: its link was used, or is too old, or the machine does not run.";
    over(wasOpen ? reason || "The connection was lost." : unopened);
  });
  const shown = client.show(byId("console"), socket);

  byId("keys").hidden = !shown.ctrlAltDel;
  byId("keys").addEventListener("click", () => {
    shown.ctrlAltDel();
    shown.focus();
  });
  byId("paste").addEventListener("click", () => byId("paste-box").showModal());
  byId("paste-cancel").addEventListener("click", () => byId("paste-box").close());
  byId("paste-send").addEventListener("click", () => {
    shown.type(byId("paste-text").value);
    byId("paste-text").value = "";
    byId("paste-box").close();
  });
  byId("paste-box").addEventListener("close", () => shown.focus());
  byId("leave").addEventListener("click", () => {
    socket.addEventListener("close", () => over("Disconnected."));
    socket.close(1000);
  });
}

byId("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
});

if (token) begin();
else over("This page was opened without its token, or loaded again.");
