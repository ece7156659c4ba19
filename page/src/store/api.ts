/** The shapes of the API, from its OpenAPI document: a change of the API is a type error here. */
import type { components } from "api-types";

type Schemas = components["schemas"];

export type Status = Schemas["Status"];
export type ModelSummary = Schemas["ModelSummary"];
export type Model = Schemas["RegistryState"];
export type Version = Schemas["RegistryVersion"];
export type Rollout = Schemas["RolloutRecord"];
export type RolloutNow = Schemas["RolloutReport"];
export type RolloutReport = Schemas["ExperimentReport"];
export type Health = Schemas["ModelHealth"];
export type Answers = Schemas["AnswersHealth"];
export type Entry = Schemas["LogEntry"];
export type Problem = Schemas["Problem"];
export type CommandAnswer = Schemas["CommandAnswer"];
export type Arm = Schemas["Arm"];
export type Alert = Schemas["AlertView"];
export type Fleet = Schemas["ModelFleet"];
export type LegalSteps = Schemas["LegalSteps"];
export type Serving = Schemas["ServingView"];
export type VersionList = Schemas["VersionList"];
export type Comparison = Schemas["Comparison"];
export type RolloutList = Schemas["RolloutList"];
export type TrainingRuns = Schemas["TrainingRuns"];
export type Decision = Schemas["RolloutDecision"];
export type Explained = Schemas["ExplainedAnswer"];
export type FleetWorker = Schemas["FleetWorker"];
export type FleetVersion = Schemas["FleetVersion"];
export type AlertList = Schemas["AlertList"];
export type ShownKey = Schemas["ShownKey"];
export type KeyWithSecret = Schemas["KeyWithSecret"];
export type TrainingRun = Schemas["TrainingRun"];
