/** Who looks, and what that key may do. */
import { link } from "../store/route";
import { may, session } from "../store/session";
import { signOut } from "../store/signing";

export function Who() {
  const known = session.value;
  if (!known || known.state === "signed-out") return null;
  if (known.state === "open") return <span class="sign plain" title="No key is needed here: everybody may do everything">open to all</span>;
  const models = known.models.length ? `, on ${known.models.join(", ")}` : "";
  return (
    <span class="sign plain" title={`May ${known.scopes.join(", ") || "nothing"}${models}`}>
      {may("admin") ? <a href={link(["keys"], null)}>{known.name ?? known.key_id}</a> : (known.name ?? known.key_id)}{" "}
      <button class="plain" onClick={() => void signOut()}>
        Sign out
      </button>
    </span>
  );
}
