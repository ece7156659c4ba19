/** What is around every page: where this is, what may be looked at, whether it is live, and who looks. */
import { PAGES, pageOf } from "../pages/pages";
import { asOf, link, route } from "../store/route";
import { connection, environment, summaries, totals } from "../store/now";
import { session } from "../store/session";
import { Loading } from "./asked";
import { Confirmation } from "./confirm";
import { ConnectionState, Trouble } from "./connection";
import { later } from "./later";
import { Said } from "./said";
import { help, palette } from "./shown";
import { TimeBar } from "./timebar";
import { Who } from "./who";

const Login = later(() => import("../pages/keeping").then((all) => all.Login));
const Palette = later(() => import("../pages/keeping").then((all) => all.Palette));
const Help = later(() => import("../pages/keeping").then((all) => all.Help));

export function Frame() {
  const here = route.value;
  const page = pageOf(here);
  const past = asOf.value !== null;
  const broken = connection.value.state === "broken";
  const out = session.value?.state === "signed-out";
  return (
    <div class={`frame ${past ? "in-past" : ""} ${broken ? "not-live" : ""}`}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        To the content
      </a>
      <header class="top">
        <a class="brand" href={link([])}>
          <svg viewBox="0 0 32 32" width="18" height="18" aria-hidden="true">
            <path d="M4 11h18l-5-6M28 21H10l5 6" />
          </svg>
          hotswap-stream
        </a>
        <Environment />
        {!out && (
          <nav aria-label="Pages">
            {PAGES.filter((one) => !one.hidden).map((one) => (
              <a key={one.path} href={link(one.parts?.() ?? [one.path].filter(Boolean))} aria-current={one === page ? "page" : undefined}>
                {one.title}
              </a>
            ))}
          </nav>
        )}
        <span class="gap" />
        {!out && <Alerts />}
        {!out && <ConnectionState />}
        <Who />
        <button class="plain" title="Everything by name (Ctrl K)" onClick={() => (palette.value = true)}>
          <kbd>Ctrl K</kbd>
        </button>
        <button class="plain" title="Keys (?)" aria-label="Keys" onClick={() => (help.value = true)}>
          <kbd>?</kbd>
        </button>
      </header>
      {!out && <TimeBar />}
      {!out && <Trouble />}
      <main id="main" tabIndex={-1}>
        {!session.value ? <Loading name="who you are" /> : out ? <Login /> : page ? <page.component route={here} /> : <p class="note">There is no such page.</p>}
      </main>
      <Said />
      <Confirmation />
      {palette.value && <Palette />}
      {help.value && <Help />}
    </div>
  );
}

function Environment() {
  const name = session.value?.environment || environment.value;
  if (!name) return null;
  const loud = /^prod/i.test(name);
  return <span class={`environment ${loud ? "loud" : ""}`}>{loud ? `▲ ${name}` : name}</span>;
}

function Alerts() {
  const raised = [...summaries.value.values()].reduce((sum, model) => sum + model.alerts_raised, 0);
  const hurts = totals.value?.hurts ?? 0;
  const tone = hurts ? "bad" : raised ? "warn" : "plain";
  return (
    <a class={`sign ${tone}`} href={link(["alerts"])}>
      <span aria-hidden="true">{tone === "plain" ? "○" : "▲"}</span>{" "}
      {hurts && !raised ? `${hurts} ${hurts === 1 ? "hurts" : "hurt"}` : raised === 1 ? "1 alert" : `${raised} alerts`}
    </a>
  );
}
