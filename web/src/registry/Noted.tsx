import { Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';

import { noteQuery, standingQuery } from '../api/registry';
import type { Note, Standing } from '../api/types';
import { stamp } from '../format/time';
import { State } from '../parts/Badges';
import { Facts, type FactList } from '../parts/Facts';
import { Section } from '../parts/Page';
import { Loaded } from '../parts/States';

/** What people noted about a revision, and who agreed that it may go live. */
export function Noted({ revision }: { revision: string }) {
  const note = useQuery(noteQuery(revision));
  const standing = useQuery(standingQuery(revision));
  return (
    <>
      <Loaded query={note}>{(found) => <Notes note={found} />}</Loaded>
      <Loaded query={standing}>{(found) => (found.wanted + found.approvals.length > 0 ? <Approvals standing={found} /> : null)}</Loaded>
    </>
  );
}

function Notes({ note }: { note: Note }) {
  const tags: FactList = Object.entries(note.tags).sort(([a], [b]) => a.localeCompare(b));
  const facts: FactList = [
    ...(note.stage.toLowerCase() === 'none' ? [] : ([['Stage', note.stage]] satisfies FactList)),
    ...(note.description ? ([['Description', note.description]] satisfies FactList) : []),
    ...tags,
  ];
  if (facts.length === 0) return null;
  return (
    <Section title="Notes">
      <Facts facts={facts} />
    </Section>
  );
}

function Approvals({ standing }: { standing: Standing }) {
  const state = standing.approved ? <State tone="good">may go live</State> : <State tone="wait">waits for approval</State>;
  const said: FactList = standing.approvals.map((one) => [
    one.by,
    `${one.approved ? 'approved' : 'rejected'} at ${stamp(one.at)} UTC${one.comment ? `: ${one.comment}` : ''}`,
  ]);
  return (
    <Section title="Approvals" beside={state}>
      <Stack gap="xs">
        <div>
          {standing.wanted === 0 ? 'It needs none.' : `It needs ${standing.wanted}, from others than ${standing.registered_by}.`}
        </div>
        <Facts facts={said} />
      </Stack>
    </Section>
  );
}
