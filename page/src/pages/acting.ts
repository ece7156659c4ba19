/** Loaded with the first look at a model or a rollout. What is in one file is packed better than in many. */
import "../frame/frame";
export { ModelPage } from "./model";
export { RolloutPage } from "./rollout";
