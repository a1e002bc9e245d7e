/** Links to the pages of things, each in the form its name is written everywhere. */

import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import { releaseRevision } from '../format/ref';

const MONO = 'link mono';

export function EndpointLink({ name }: { name: string }) {
  return (
    <Link to="/endpoints/$" params={{ _splat: name }} className="link">
      {name}
    </Link>
  );
}

export function RevisionLink({ revision, children }: { revision: string; children?: ReactNode }) {
  const slash = revision.indexOf('/');
  const params = { kind: revision.slice(0, slash), _splat: revision.slice(slash + 1) };
  return (
    <Link to="/revisions/$kind/$" params={params} className={MONO}>
      {children ?? revision}
    </Link>
  );
}

export function ReleaseLink({ release }: { release: string }) {
  return <RevisionLink revision={releaseRevision(release)}>{release}</RevisionLink>;
}

export function RunLink({ id, children }: { id: string; children?: ReactNode }) {
  return (
    <Link to="/runs/$id" params={{ id }} className="link">
      {children ?? <span className="mono">{id.slice(0, 12)}</span>}
    </Link>
  );
}

export function ExperimentLink({ id, children }: { id: string; children?: ReactNode }) {
  return (
    <Link to="/experiments/$id" params={{ id }} className="link">
      {children ?? `Experiment ${id}`}
    </Link>
  );
}

/** A card of the registry by its `kind/name`. */
export function CardLink({ card, children }: { card: string; children?: ReactNode }) {
  const slash = card.indexOf('/');
  const params = { kind: card.slice(0, slash), _splat: card.slice(slash + 1) };
  return (
    <Link to="/registry/$kind/$" params={params} className="link">
      {children ?? card}
    </Link>
  );
}

export function TraceLink({ id }: { id: string }) {
  return (
    <Link to="/traces/$id" params={{ id }} className={MONO} aria-label={`Trace ${id}`}>
      {id.slice(0, 12)}
    </Link>
  );
}
