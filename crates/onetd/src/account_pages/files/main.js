// Which page this is.
import { element, show } from "./dom.js";
import { callback, login } from "./login.js";
import { confirmEmail, register, resetPassword, verifyEmail } from "./proofs.js";
import { security } from "./security.js";
import { language, say } from "./words.js";

document.documentElement.lang = language;
const page = location.pathname.replace("/account/", "");
const query = new URLSearchParams(location.search);
// Secrets leave the address bar at once, and with it the history.
history.replaceState(null, "", location.pathname);
const token = query.get("token");

const pages = {
  "login": () => login(token),
  "register": () => register(null),
  "invitation": () => register(token),
  "verify-email": () => verifyEmail(token),
  "reset-password": () => resetPassword(token),
  "confirm-email": () => confirmEmail(token),
  "oauth/callback": () => callback(query.get("code"), query.get("state")),
  "security": () => security(),
};

try {
  await (pages[page] ?? (() => show(say("account"), say("lost"))))();
} catch (fault) {
  if (fault.status === 401) location.replace("/account/login");
  else show(say("account"), element("p", { class: "fault", role: "alert" }, fault.message));
}
