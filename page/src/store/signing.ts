/** Signing in and out, and who is signed in. */
import { get, send } from "./asking";
import { session, type Session } from "./session";

/** Ask who the reader is; anybody may. The same answer again changes nothing. */
export async function loadSession(): Promise<void> {
  const found = (await get<Session>("/api/session")).value;
  if (JSON.stringify(found) !== JSON.stringify(session.peek())) session.value = found;
}

/** Sign in. The key is sent once; the browser keeps a cookie that no script reads. Refused: the key opens nothing. */
export async function signIn(key: string): Promise<void> {
  session.value = (await send<Session>("/api/session", { body: { key } })).value;
}

/** Sign out, here and on the server. */
export async function signOut(): Promise<void> {
  await send("/api/session", { method: "DELETE" });
  await loadSession();
}
