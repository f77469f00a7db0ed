// Calls the API. The session's tokens live as long as the tab.
import { language, say } from "./words.js";

export class Fault extends Error {
  constructor(status, body) {
    const fields = Object.values(body ?? {}).flat().filter((text) => typeof text === "string");
    super(body?.detail ?? (fields.join(" ") || say("failed")));
    this.status = status;
    this.code = body?.code;
  }
}

export const session = {
  get: (name) => sessionStorage.getItem(`onet.${name}`),
  keep({ access, refresh }) {
    sessionStorage.setItem("onet.access", access);
    sessionStorage.setItem("onet.refresh", refresh);
  },
  forget() {
    sessionStorage.removeItem("onet.access");
    sessionStorage.removeItem("onet.refresh");
  },
};

async function send(method, path, body, bearer) {
  const headers = { "Accept-Language": language };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const answer = await fetch(`/v1${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "omit", referrerPolicy: "no-referrer", cache: "no-store",
  });
  const text = await answer.text();
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* no JSON: only the status counts */ }
  if (!answer.ok) throw new Fault(answer.status, json);
  return json;
}

// For anybody.
export const ask = (path, body) => send("POST", path, body);
export const look = (path) => send("GET", path);

// In the session; its access token is renewed once if it has ended.
export async function own(method, path, body) {
  try {
    return await send(method, path, body, session.get("access"));
  } catch (fault) {
    const refresh = session.get("refresh");
    if (fault.status !== 401 || !refresh) throw fault;
    try {
      session.keep(await ask("/auth/token/refresh", { refresh }));
    } catch (ended) {
      session.forget();
      throw ended;
    }
    return send(method, path, body, session.get("access"));
  }
}
