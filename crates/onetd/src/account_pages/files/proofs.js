// Registering, and what the links in mails lead to. A link changes nothing before its button is pressed.
import { ask, look } from "./api.js";
import { action, element, field, form, link, show } from "./dom.js";
import { proceed } from "./login.js";
import { language, say } from "./words.js";

const fresh = (name, text) =>
  field(name, text, { type: "password", autocomplete: "new-password", minlength: "8", maxlength: "128" });

export async function register(invitation_token) {
  const { terms_url } = await look("/auth/config");
  const terms = terms_url && element("label", { class: "check" },
    element("input", { type: "checkbox", name: "terms", required: true }), " ",
    element("a", { href: terms_url, rel: "noreferrer", target: "_blank" }, say("terms")));
  show(say(invitation_token ? "invitation" : "register"), form(say("register"), [
    field("first_name", say("firstName"), { autocomplete: "given-name", maxlength: "150" }),
    field("last_name", say("lastName"), { autocomplete: "family-name", maxlength: "150" }),
    field("email", say("email"), { type: "email", autocomplete: "username" }),
    fresh("password", say("password")),
    terms || null,
  ], async ({ terms: _, ...account }) => {
    const body = { ...account, language, accept_terms: true };
    if (invitation_token) body.invitation_token = invitation_token;
    const answer = await ask("/auth/register", body);
    if (answer.access) return proceed({ mfa_required: false, ...answer });
    show(say("register"), element("p", {}, say("mailSent")));
  }), link("login", say("login")));
}

export function verifyEmail(token) {
  show(say("verify"), token ? action(say("verify"),
    async () => proceed(await ask("/auth/email/verify", { token })), { class: "main" })
    : form(say("go"), [field("email", say("email"), { type: "email" })], async ({ email }) => {
      await ask("/auth/email/resend", { email });
      show(say("verify"), element("p", {}, say("mailSent")));
    }));
}

export function confirmEmail(token) {
  show(say("verify"), action(say("verify"), async () => {
    await ask("/auth/email/change/confirm", { token });
    show(say("verify"), element("p", {}, say("verified")), link("login", say("login")));
  }, { class: "main" }));
}

export function resetPassword(token) {
  if (!token) {
    return show(say("forgot"), form(say("go"), [field("email", say("email"), { type: "email" })], async ({ email }) => {
      await ask("/auth/password/reset", { email });
      show(say("forgot"), element("p", {}, say("mailSent")));
    }), link("login", say("login")));
  }
  show(say("reset"), form(say("go"), [fresh("new_password", say("newPassword"))], async ({ new_password }) => {
    await ask("/auth/password/reset/confirm", { token, new_password });
    show(say("reset"), element("p", {}, say("resetDone")), link("login", say("login")));
  }));
}
