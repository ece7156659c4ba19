/** The buttons of a page. Without the scope, in the past or while broken they are not there, and it is said why. */
import { useEffect } from "preact/hooks";
import { connection } from "../store/now";
import { asOf } from "../store/route";
import { mayOperate } from "../store/session";
import { type Action, actions, ask } from "./actions";

/** Why nothing may be pressed, or null. */
export function barred(): string | null {
  if (asOf.value !== null) return "In the past nothing can be commanded.";
  if (!mayOperate.value) return "Your key may look, and not operate: no commands.";
  return null;
}

/** Make these the actions of the page, for the keys and the palette. */
export function useActions(own: readonly Action[]): void {
  const text = own.map((one) => `${one.name} ${one.sequence}`).join();
  const why = barred();
  useEffect(() => {
    actions.value = why === null ? own : [];
    return () => void (actions.value = []);
  }, [text, why]);
}

export function Buttons({ actions: own, small }: { actions: readonly Action[]; small?: boolean }) {
  if (barred() !== null) return null;
  const broken = connection.value.state === "broken";
  return (
    <>
      {own.map((action) => (
        <button key={action.name} class={`${action.danger ? "danger" : ""} ${small ? "small" : ""}`} disabled={broken} title={broken ? "Not live: look again first" : action.title} onClick={() => ask(action)}>
          {action.verb}
          {action.key && <kbd aria-hidden="true"> {action.key}</kbd>}
        </button>
      ))}
    </>
  );
}

export function Barred() {
  const why = barred();
  return why ? <span class="soft small">{why}</span> : null;
}
