/** What `/api/v1` answers with. Times named `*_at` are ISO-8601 UTC; `*_ns` are integer nanoseconds since the epoch. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Engine {
  name: string;
  state: string;
  detail: string | null;
}

export interface Status {
  version: string;
  home: string;
  started_at: string;
  tenant: string;
  principal: string;
  endpoints: number | string[];
  counts: { revisions: number; releases: number; runs: number; traces: number };
  engines: Engine[];
}

export interface Parent {
  role: string;
  digest: string;
}

export interface Revision {
  ref: string;
  kind: string;
  name: string;
  number: number;
  digest: string;
  manifest: { [key: string]: Json };
  parents: Parent[];
  created_at: string;
  created_ns: number;
  created_by: string;
  run_id: string | null;
  aliases: string[];
}

export interface Endpoint {
  name: string;
  type: string;
  live: string | null;
  canary: string | null;
  canary_weight: number | null;
  shadow: string | null;
  previous: string | null;
  updated_at: string;
}

export interface Pin {
  ref: string;
  digest: string;
}

export type Verdict = 'pass' | 'fail' | 'not_enough_evidence';

/** A metric's value with its interval at `level` (0.95), from `n` rows. */
export interface Estimate {
  metric: string;
  value: number;
  low: number;
  high: number;
  n: number;
  level: number;
}

export interface Finding {
  condition: { metric: string; at_least?: number | null; at_most?: number | null; baseline?: string | null };
  verdict: Verdict;
  estimate: Estimate | null;
  reason: string;
}

export interface Gate {
  verdict: Verdict;
  findings: Finding[];
}

export type ReleaseState = 'live' | 'canary' | 'shadow' | 'previous' | 'retired' | 'prepared';

export interface Release {
  ref: string;
  digest: string;
  endpoint: string;
  type: string;
  state: ReleaseState;
  weight: number | null;
  pins: { [role: string]: Pin };
  gate: Gate | null;
  created_at: string;
  created_by: string;
}

export interface ReleaseEvent {
  at: string;
  action: string;
  stage: string;
  release: string | null;
  weight: number | null;
  by: string;
  reason: string | null;
}

export interface Trace {
  trace_id: string;
  name: string;
  endpoint: string | null;
  release: string | null;
  status: 'ok' | 'error' | 'unset';
  started_at: string;
  start_ns: number;
  duration_ms: number;
  principal: string;
  source: 'gateway' | 'otlp' | 'mlflow';
  span_count: number;
  summary: { [fact: string]: Json };
}

export interface Span {
  span_id: string;
  parent_id: string | null;
  name: string;
  kind: string;
  start_ns: number;
  end_ns: number;
  status: string;
  message: string | null;
  attributes: { [key: string]: Json };
  events: { name: string; at_ns: number; attributes: { [key: string]: Json } }[];
}

export interface TraceDetail extends Trace {
  spans: Span[];
}

/** What somebody says of a trace, or of its span `span`; not valid once another one overrides it. */
export interface Assessment {
  name: string;
  kind: 'feedback' | 'expectation' | 'issue';
  value: Json;
  error: { [name: string]: Json } | null;
  rationale: string | null;
  by: string;
  source: string;
  span: string | null;
  valid: boolean;
  at: string;
}

export interface TraceNotes {
  trace_id: string;
  experiment: string;
  request: string | null;
  response: string | null;
  tags: { [key: string]: string };
  metadata: { [key: string]: string };
  assessments: Assessment[];
}

export interface LineageNode {
  key: string;
  kind: string;
  name: string;
  version: string | null;
  digest: string | null;
  detail: Json;
}

export interface LineageEdge {
  child: string;
  parent: string;
  role: string;
}

export interface Lineage {
  root: string;
  nodes: LineageNode[];
  edges: LineageEdge[];
  truncated?: boolean;
  /** Only in the answer to `impact`. */
  counts?: { revisions: number; releases: number; traces: number };
}

export type Lifecycle = 'active' | 'deleted';

export interface Experiment {
  id: string;
  name: string;
  lifecycle: Lifecycle;
  tags: { [key: string]: string };
  created_at: string;
  updated_at: string;
}

/** A point of a metric; a `value` of null is NaN. */
export interface Point {
  value: number | null;
  step: number;
  at: string;
}

export type RunStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED';

export interface Run {
  id: string;
  /** The experiment's id. */
  experiment: string;
  name: string;
  user: string;
  status: RunStatus;
  lifecycle: Lifecycle;
  parent: string | null;
  started_at: string;
  ended_at: string | null;
  params: { [key: string]: string };
  tags: { [key: string]: string };
  /** The last point of each series. */
  metrics: { [key: string]: Point };
  datasets: { name: string; digest: string; context: string | null; source_type: string; source: string }[];
  models_read: string[];
  models_made: { model: string; step: number }[];
}

export interface Artifact {
  path: string;
  size: number;
  digest: string;
  is_dir: boolean;
  at: string;
  /** Why loading the file could run code of its author; null is no known danger. */
  flag: string | null;
}

/** A run of a pipeline, which is no tracking run. */
export interface PipelineRun {
  id: string;
  pipeline: string;
  params: { [name: string]: Json };
  state: string;
  started_ns: number;
  started_by: string;
  finished_ns: number | null;
  resumes: number;
  steps: {
    node: string;
    state: string;
    started_ns: number | null;
    finished_ns: number | null;
    /** The run whose output was taken over; null for a step that ran. */
    source: string | null;
    failure: { type: string; message: string } | null;
  }[];
}

/** What the registry keeps under one kind and name; its revisions are the versions. */
export interface Card {
  ref: string;
  kind: string;
  name: string;
  title: string;
  description: string | null;
  tags: { [key: string]: string };
  /** How many must approve a revision before it goes live. */
  approvals: number;
  aliases: { [alias: string]: number };
  /** The highest revision at each stage. */
  latest: { [stage: string]: number };
  created_at: string;
  created_by: string;
  updated_at: string;
}

export interface Note {
  revision: Revision;
  title: string;
  description: string | null;
  tags: { [key: string]: string };
  stage: string;
  status: string;
  updated_at: string;
}

export interface Standing {
  ref: string;
  registered_by: string;
  wanted: number;
  approved: boolean;
  approvals: { by: string; approved: boolean; comment: string; at: string }[];
}

/** A time in which a release with this revision answered at an endpoint. */
export interface Period {
  endpoint: string;
  release: string;
  stage: string;
  role: string;
  since: string;
  until: string | null;
  weight: number;
  reason: string;
  gate: Gate | null;
}

export interface HistoryEntry {
  at: string;
  by: string;
  action: string;
  ref: string;
  title: string;
  detail: { [name: string]: Json };
  period: Period | null;
}

export interface Difference {
  path: string;
  change: 'added' | 'removed' | 'changed';
  before?: Json;
  after?: Json;
  /** A unified diff, where both values are long texts. */
  text?: string;
}
