// Logging in: any first factor, then a second one where it is asked for.
import { ask, look, session } from "./api.js";
import { action, element, field, form, link, show } from "./dom.js";
import * as passkeys from "./passkeys.js";
import { say } from "./words.js";

const codeField = () =>
  field("code", say("code"), { inputmode: "numeric", autocomplete: "one-time-code", pattern: "\\d{6}" });

// What follows every first factor.
export function proceed(answer) {
  if (answer.mfa_required) return secondFactor(answer);
  session.keep(answer);
  location.assign("/account/security");
}

function secondFactor(login, method = login.mfa_default_method ?? login.mfa_methods[0]) {
  const verify = async (proof) =>
    proceed(await ask("/auth/mfa/verify", { mfa_token: login.mfa_token, method, ...proof }));
  const challenge = () => ask("/auth/mfa/challenge", { mfa_token: login.mfa_token, method });
  const label = (name) => say(name === "email" ? "byMail" : name);
  const ways = {
    totp: () => [form(say("go"), [codeField()], verify)],
    email: () => [action(say("mailCode"), challenge), form(say("go"), [codeField()], verify)],
    recovery_code: () => [form(say("go"), [field("code", say("recovery_code"))], verify)],
    webauthn: () => [action(say("webauthn"), async () => {
      const { public_key } = await challenge();
      await verify({ credential: { credential: await passkeys.get(public_key) } });
    })],
  };
  const others = login.mfa_methods.filter((other) => other !== method);
  show(say("secondStep"), element("p", {}, label(method)), ...ways[method](),
    ...others.map((other) => action(label(other), () => secondFactor(login, other))));
}

async function byPasskey() {
  const { challenge_id, public_key } = await ask("/auth/passkeys/login/begin", {});
  const credential = await passkeys.get(public_key);
  proceed(await ask("/auth/passkeys/login/complete", { challenge_id, credential }));
}

function byMail(method) {
  show(say("login"), form(say(method === "code" ? "mailCode" : "mailLink"),
    [field("email", say("email"), { type: "email", autocomplete: "username" })],
    async ({ email }) => {
      const { challenge_id } = await ask("/auth/passwordless/request", { email, method });
      const enter = form(say("login"), [codeField()],
        async ({ code }) => proceed(await ask("/auth/passwordless/verify", { challenge_id, code })));
      show(say("login"), element("p", {}, say("mailSent")), method === "code" ? enter : null);
    }));
}

async function byProvider(slug) {
  const redirect_uri = `${location.origin}/account/oauth/callback`;
  const { authorization_url, state } =
    await ask(`/auth/oauth/${encodeURIComponent(slug)}/authorize`, { redirect_uri, intent: "login" });
  sessionStorage.setItem("onet.oauth", JSON.stringify({ slug, state }));
  location.assign(authorization_url);
}

export async function login(token) {
  // A link in a mail does nothing by being opened: programs that look for viruses open it, too.
  if (token) {
    return show(say("login"), action(say("login"),
      async () => proceed(await ask("/auth/passwordless/verify", { token })), { class: "main" }));
  }
  const offered = await look("/auth/config");
  const password = form(say("login"), [
    field("email", say("email"), { type: "email", autocomplete: "username webauthn" }),
    field("password", say("password"), { type: "password", autocomplete: "current-password" }),
    element("label", { class: "check" }, element("input", { type: "checkbox", name: "remember" }), ` ${say("remember")}`),
  ], async ({ email, password, remember }) =>
    proceed(await ask("/auth/login", { email, password, remember_me: remember === "on" })));
  const mails = { code: "mailCode", magic_link: "mailLink" };
  show(say("login"),
    offered.password_login_enabled ? password : null,
    offered.passkey_login_enabled && passkeys.supported()
      ? action(say("withPasskey"), byPasskey, { id: "passkey" }) : null,
    ...offered.passwordless_methods.map((method) => action(say(mails[method]), () => byMail(method))),
    ...offered.oauth_providers.filter((provider) => provider.login_enabled)
      .map(({ slug, name }) => action(`${say("withProvider")} ${name}`, () => byProvider(slug))),
    offered.password_login_enabled ? link("reset-password", say("forgot")) : null,
    offered.registration_enabled ? link("register", say("register")) : null);
}

export async function callback(code, state) {
  const kept = JSON.parse(sessionStorage.getItem("onet.oauth") ?? "null");
  sessionStorage.removeItem("onet.oauth");
  // Only a login that began in this tab ends in it.
  if (!code || !kept || kept.state !== state) return show(say("login"), element("p", {}, say("failed")), link("login", say("login")));
  const redirect_uri = `${location.origin}/account/oauth/callback`;
  proceed(await ask(`/auth/oauth/${encodeURIComponent(kept.slug)}/callback`, { code, state, redirect_uri }));
}
