/** The start: who the reader is is asked, the address followed, the stream opened, the frame drawn. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { Frame } from "./frame/frame";
import { followAddress } from "./store/route";
import { session } from "./store/session";
import { loadSession } from "./store/signing";
import { AGAIN_MS_MAX, Stream, browser } from "./stream/stream";
import "./style/tokens.css";

followAddress();
const stream = new Stream(browser);
let started = false;
effect(() => {
  const known = session.value;
  if (!known) return;
  if (known.state === "signed-out") return stream.close();
  if (started) return stream.open();
  started = true;
  stream.start();
});

/** Until the API has said who the reader is; after that, each answer says when that ended. */
function ask(): void {
  loadSession().catch(() => setTimeout(ask, AGAIN_MS_MAX));
}
ask();

const root = document.getElementById("page");
if (root) render(<Frame />, root);
