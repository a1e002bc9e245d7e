import { Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';

import { revisionQuery } from '../api/queries';
import type { Revision } from '../api/types';
import { stamp } from '../format/time';
import { Lineage } from '../lineage/Lineage';
import { KindTag } from '../parts/Badges';
import { Facts, jsonFacts, Strip, type FactList } from '../parts/Facts';
import { CardLink, RunLink } from '../parts/Links';
import { Page, Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { Noted } from '../registry/Noted';

export function RevisionPage() {
  const { kind, _splat: name = '' } = useParams({ from: '/revisions/$kind/$' });
  const ref = `${kind}/${name}`;
  const query = useQuery(revisionQuery(ref));
  const title = query.data ? `${query.data.name}@${query.data.number}` : ref;
  return (
    <Page title={title} beside={query.data && <KindTag kind={query.data.kind} />}>
      <Loaded query={query} height={360}>
        {(revision) => (
          <Stack gap="xl">
            <Strip facts={facts(revision)} />
            <Noted revision={revision.ref} />
            <Section title="Manifest">
              <Facts facts={jsonFacts(revision.manifest)} />
            </Section>
            <Lineage title="Where it came from" node={revision.ref} towards="parent" />
            <Lineage title="What it touched" node={revision.ref} towards="child" />
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function facts(revision: Revision): FactList {
  return [
    ['Versions', <CardLink key="versions" card={`${revision.kind}/${revision.name}`}>{revision.name}</CardLink>],
    ['Registered', `${stamp(revision.created_at)} UTC`],
    ['By', revision.created_by],
    ['Aliases', revision.aliases.join(', ') || 'none'],
    ['Run', revision.run_id ? <RunLink key="run" id={revision.run_id} /> : 'none'],
    ['Digest', <span key="digest" className="mono">{revision.digest}</span>],
  ];
}
