/** The start: the address is followed, the stream opened, the frame drawn. */
import { render } from "preact";
import { Frame } from "./frame/frame";
import { followAddress } from "./store/route";
import { Stream, browser } from "./stream/stream";
import "./style/tokens.css";

followAddress();
new Stream(browser).start();
const root = document.getElementById("page");
if (root) render(<Frame />, root);
