/** The start: the address is followed, who the reader is is asked, the stream opened, the frame drawn. */
import { effect } from "@preact/signals";
import { render } from "preact";
import "./style/tokens.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/charts.css";
import "./style/dialogs.css";
// Styles of all pages are there from the start; the code of most comes with the first look at them.
import "./pages/answer/answer.css";
import "./pages/events/events.css";
import "./pages/fleet/fleet.css";
import "./pages/login/login.css";
import "./pages/model/model.css";
import "./pages/overview/overview.css";
import "./pages/rollout/rollout.css";
import "./pages/training/training.css";
import { Frame } from "./frame/frame";
import { followKeys } from "./frame/keys";
import { followClock } from "./frame/time";
import { connection } from "./store/now";
import { followAddress } from "./store/route";
import { session } from "./store/session";
import { loadSession } from "./store/signing";
import { AGAIN_MS_MAX, Stream, browser } from "./stream/stream";

followAddress();
followClock();
followKeys();
const stream = new Stream(browser);
let started = false;
effect(() => {
  const known = session.value;
  if (!known) return;
  if (known.state === "signed-out") {
    stream.close();
    connection.value = { state: "connecting" };
    return;
  }
  if (started) return stream.open();
  started = true;
  stream.start();
});

// A stream that ends does not say why: the session may be over.
effect(() => {
  if (connection.value.state === "broken") void loadSession().catch(() => undefined);
});

/** Until the API has said who the reader is; after that, each answer says when that ended. */
function ask(): void {
  loadSession().catch(() => setTimeout(ask, AGAIN_MS_MAX));
}
ask();

const root = document.getElementById("page");
if (root) render(<Frame />, root);
