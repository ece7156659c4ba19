/** Loaded with the first look at training, alerts or keys, at the palette or the help, and by who has to sign in. */
import "../frame/frame";
export { Help } from "../frame/help";
export { Palette } from "../frame/palette";
export { Alerts } from "./alerts";
export { Keys } from "./keys";
export { Login } from "./login";
export { Training } from "./training";
