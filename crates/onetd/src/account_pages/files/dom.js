// Makes elements. Text is always text: nothing from outside becomes markup.
import { say } from "./words.js";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function show(title, ...children) {
  const page = document.getElementById("page");
  document.title = title;
  page.replaceChildren(element("h1", {}, title), ...children.filter((child) => child !== null));
  page.querySelector("input")?.focus();
}

export const link = (page, text) => element("p", {}, element("a", { href: `/account/${page}` }, text));

export const field = (name, text, attributes = {}) =>
  element("label", {}, text, element("input", { name, required: true, ...attributes }));

// A fault beside what caused it.
function tell(place, fault) {
  place.querySelectorAll(":scope > .fault").forEach((old) => old.remove());
  if (fault) place.append(element("p", { class: "fault", role: "alert" }, fault.message || say("failed")));
}

async function attempt(place, button, what) {
  tell(place, null);
  button.disabled = true;
  try {
    await what();
  } catch (fault) {
    tell(place, fault);
  } finally {
    button.disabled = false;
  }
}

// A form whose values go to `submit`.
export function form(text, fields, submit) {
  const button = element("button", { class: "main" }, text);
  const made = element("form", {}, ...fields, button);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(made, button, () => submit(Object.fromEntries(new FormData(made))));
  });
  return made;
}

// A button that does something which may fail.
export function action(text, what, attributes = {}) {
  const button = element("button", { type: "button", ...attributes }, text);
  const place = element("div", {}, button);
  button.addEventListener("click", () => attempt(place, button, what));
  return place;
}
