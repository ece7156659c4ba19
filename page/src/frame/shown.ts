/** What of the frame is open, and what says the page in a terminal. */
import { signal } from "@preact/signals";

export const command = signal("hotswap-stream status");
export const help = signal(false);
export const palette = signal(false);
