// Who is logged in, where, and with what.
import { own, session } from "./api.js";
import { action, element, field, form, show } from "./dom.js";
import * as passkeys from "./passkeys.js";
import { say } from "./words.js";

const heading = (word) => element("h2", {}, say(word));
const time = (text) => (text ? new Date(text).toLocaleString() : "");
const row = (title, detail, ...actions) =>
  element("div", { class: "row" }, element("div", {}, title, element("small", {}, detail)), ...actions);

async function logOut() {
  try {
    await own("POST", "/auth/logout", { refresh: session.get("refresh") });
  } finally {
    session.forget();
    location.assign("/account/login");
  }
}

async function addPasskey() {
  const { challenge_id, public_key } = await own("POST", "/auth/mfa/webauthn/register/begin");
  const credential = await passkeys.create(public_key);
  await own("POST", "/auth/mfa/webauthn/register/complete", { challenge_id, credential });
  await security();
}

function passkeyRow({ id, name, last_used_at, created }) {
  const path = `/auth/mfa/webauthn/credentials/${id}`;
  const rename = () => {
    const box = document.getElementById(`passkey-${id}`);
    box.replaceChildren(form(say("rename"), [field("name", say("name"), { value: name, maxlength: "100" })],
      async (change) => { await own("PATCH", path, change); await security(); }));
  };
  const remove = async () => { await own("DELETE", path); await security(); };
  return element("div", { id: `passkey-${id}`, class: "passkey" },
    row(name, time(last_used_at ?? created), action(say("rename"), rename), action(say("remove"), remove)));
}

function sessionRow({ id, browser, operating_system, ip_address, auth_method, is_current }) {
  const end = async () => { await own("DELETE", `/auth/sessions/${id}`); await security(); };
  const title = `${browser} · ${operating_system}${is_current ? ` (${say("thisOne")})` : ""}`;
  return row(title, `${ip_address} · ${auth_method}`, is_current ? null : action(say("end"), end));
}

const codes = (list) => element("div", {}, element("p", {}, say("keepCodes")),
  element("ul", { class: "codes" }, ...list.map((code) => element("li", {}, code))));

async function setUpApp(place) {
  const { qr_code, secret } = await own("POST", "/auth/mfa/totp/setup");
  place.replaceChildren(
    element("p", {}, say("scan")),
    element("img", { class: "qr", id: "qr", src: qr_code, alt: say("scan") }),
    element("code", {}, secret),
    form(say("go"), [field("code", say("code"), { inputmode: "numeric", pattern: "\\d{6}" })], async ({ code }) => {
      const { recovery_codes } = await own("POST", "/auth/mfa/totp/confirm", { code });
      place.replaceChildren(element("p", {}, say("done")), recovery_codes ? codes(recovery_codes) : "");
    }));
}

async function renewCodes(place) {
  const { recovery_codes } = await own("POST", "/auth/mfa/recovery-codes", {});
  place.replaceChildren(codes(recovery_codes));
}

export async function security() {
  if (!session.get("access")) return location.replace("/account/login");
  const [me, sessions, known] = await Promise.all([
    own("GET", "/auth/me"), own("GET", "/auth/sessions"), own("GET", "/auth/mfa/webauthn/credentials"),
  ]);
  const app = element("div", {});
  const recovery = element("div", {});
  document.getElementById("page").className = "wide";
  show(say("security"),
    element("p", { id: "me" }, me.email),
    action(say("logout"), logOut, { id: "logout" }),
    heading("passkeys"), ...known.map(passkeyRow),
    passkeys.supported() ? action(say("addPasskey"), addPasskey, { id: "add-passkey" }) : null,
    heading("app"), app, action(say("setUp"), () => setUpApp(app), { id: "totp" }),
    heading("recoveryCodes"), recovery, action(say("newCodes"), () => renewCodes(recovery)),
    heading("sessions"), ...sessions.map(sessionRow));
}
