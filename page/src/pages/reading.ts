/** Loaded with the first look at the log, at an answer, or at the fleet. */
import "../frame/frame";
export { Answer } from "./answer";
export { Events } from "./events";
export { FleetPage } from "./fleet";
