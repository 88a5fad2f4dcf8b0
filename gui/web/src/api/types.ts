// Names for what the API's description calls StatusNode and so on.
import type { components } from './schema';

type S = components['schemas'];

export type Summary = S['StatusSummary'];
export type Cluster = S['StatusCluster'];
export type Quorum = S['StatusQuorum'];
export type Node = S['StatusNode'];
export type Link = S['StatusLink'];
export type Resource = S['StatusResource'];
export type Instance = S['StatusInstance'];
export type Operation = S['StatusOperation'];
export type FenceDevice = S['StatusFenceDevice'];
export type Fencing = S['StatusFencing'];
export type Store = S['StatusStore'];
export type Alarm = S['StatusAlarm'];
export type Action = S['StatusAction'];
export type Failover = S['StatusFailover'];
export type Event = S['CibEvent'];
export type WhoAmI = S['WhoAmI'];
export type Change = S['EngineChange'];
export type ChangeResult = S['EngineChangeResult'];
export type Plan = S['EnginePlanSummary'];
export type Step = S['EngineStep'];
export type Job = S['JobAnswer'];
export type Explanation = S['GraphExplanation'];
export type Approval = S['Approval'];
export type GenerationInfo = S['EngineGenerationInfo'];
export type Local = S['EngineLocal'];
export type Transition = S['Transition'];
export type AccessRow = S['Row'];
export type LoginSession = S['Session'];
export type NotificationTarget = S['EngineNotificationTarget'];
export type Ticket = S['StatusTicket'];
export type ProblemBody = S['Problem'];

/** A document of the configuration: its shape is that of cluster.schema.json. */
export type Document = Record<string, unknown>;

/** The configuration as the API answers it. */
export interface Config {
  generation: number;
  config: Record<string, Record<string, Document>> & { cluster: Document };
}
