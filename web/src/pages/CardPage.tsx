import { Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';

import { cardQuery, pastQuery, versionsQuery } from '../api/registry';
import type { Card, Revision } from '../api/types';
import { shortDigest } from '../format/ref';
import { Ago } from '../parts/Ago';
import { KindTag } from '../parts/Badges';
import { Facts, Strip, type FactList } from '../parts/Facts';
import { RevisionLink, RunLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page, Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { Diff } from '../registry/Diff';
import { Past } from '../registry/Past';
import { staged } from '../registry/stages';

export function CardPage() {
  const { kind, _splat: name = '' } = useParams({ from: '/registry/$kind/$' });
  const query = useQuery(cardQuery(`${kind}/${name}`));
  return (
    <Page title={query.data?.title ?? name} beside={<KindTag kind={kind} />}>
      <Loaded query={query} height={300}>
        {(card) => <OneCard key={card.ref} card={card} />}
      </Loaded>
    </Page>
  );
}

function OneCard({ card }: { card: Card }) {
  const versions = useQuery(versionsQuery(card.kind, card.name));
  const past = useQuery(pastQuery(card.ref));
  const tags: FactList = Object.entries(card.tags).sort(([a], [b]) => a.localeCompare(b));
  return (
    <Stack gap="xl">
      <Strip facts={facts(card)} />
      {card.description && <div style={{ whiteSpace: 'pre-wrap' }}>{card.description}</div>}
      {tags.length > 0 && (
        <Section title="Tags">
          <Facts facts={tags} />
        </Section>
      )}
      <Section title="Versions">
        <Loaded query={versions}>{(all) => <Versions card={card} versions={all} />}</Loaded>
      </Section>
      {versions.data && versions.data.length > 1 && <Diff versions={versions.data} />}
      <Section title="History">
        <Loaded query={past}>{({ entries, next }) => <Past entries={entries} more={next !== null} />}</Loaded>
      </Section>
    </Stack>
  );
}

function facts(card: Card): FactList {
  const aliases: FactList = Object.entries(card.aliases).map(([alias, number]) => [
    `Alias ${alias}`,
    <RevisionLink key={alias} revision={`${card.ref}@${number}`}>{`@${number}`}</RevisionLink>,
  ]);
  const stages: FactList = staged(card).map(([stage, number]) => [
    stage,
    <RevisionLink key={stage} revision={`${card.ref}@${number}`}>{`@${number}`}</RevisionLink>,
  ]);
  return [
    ['Name', <span key="name" className="mono">{card.ref}</span>],
    ...aliases,
    ...stages,
    ['Goes live with', card.approvals === 0 ? 'no approval' : `${card.approvals} approval${card.approvals === 1 ? '' : 's'}`],
    ['Made', <span key="made"><Ago at={card.created_at} /> by {card.created_by}</span>],
  ];
}

function Versions({ card, versions }: { card: Card; versions: Revision[] }) {
  if (versions.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        It has no version yet.
      </Text>
    );
  }
  return (
    <Listing minWidth={560} heads={['Version', 'Aliases', 'Run', 'Digest', 'Registered']}>
      {versions.map((version) => (
        <Table.Tr key={version.number}>
          <Table.Td>
            <RevisionLink revision={`${card.ref}@${version.number}`}>{`@${version.number}`}</RevisionLink>
          </Table.Td>
          <Table.Td>{version.aliases.join(', ')}</Table.Td>
          <Table.Td>{version.run_id && <RunLink id={version.run_id} />}</Table.Td>
          <Table.Td className="mono">{shortDigest(version.digest)}</Table.Td>
          <Table.Td>
            <Ago at={version.created_at} /> by {version.created_by}
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}
