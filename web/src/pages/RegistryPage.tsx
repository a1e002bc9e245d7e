import { Button, Group, Select, Table, Text, TextInput } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { cardsQuery, type CardFilter } from '../api/registry';
import type { Card } from '../api/types';
import { kindLabel, KINDS } from '../lineage/kinds';
import { Ago } from '../parts/Ago';
import { KindTag, State } from '../parts/Badges';
import { CardLink } from '../parts/Links';
import { Page } from '../parts/Page';
import { Pages } from '../parts/Pages';
import { Empty, Loaded } from '../parts/States';

export function RegistryPage() {
  const filter = useSearch({ from: '/registry' });
  const navigate = useNavigate({ from: '/registry' });
  const [title, setTitle] = useState(filter.title ?? '');
  const query = useQuery({ ...cardsQuery(filter), placeholderData: keepPreviousData });
  const show = (next: CardFilter) => void navigate({ search: { ...filter, token: undefined, ...next } });
  return (
    <Page title="Registry">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          show({ title: title.trim() || undefined });
        }}
      >
        <Group align="flex-end" gap="sm">
          <Select
            label="Kind"
            placeholder="any"
            clearable
            w={200}
            data={KINDS.map((kind) => ({ value: kind, label: kindLabel(kind) }))}
            value={filter.kind ?? null}
            onChange={(kind) => show({ kind: kind ?? undefined })}
          />
          <TextInput label="Title contains" value={title} onChange={(event) => setTitle(event.currentTarget.value)} w={260} />
          <Button type="submit" variant="default">
            Search
          </Button>
        </Group>
      </form>
      <Loaded query={query} height={400}>
        {({ cards, next }) => (
          <>
            {cards.length > 0 ? <CardTable cards={cards} /> : <NoCard filter={filter} />}
            <Pages first={!filter.token} next={next} onFirst={() => show({})} onNext={(token) => show({ token })} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function CardTable({ cards }: { cards: Card[] }) {
  return (
    <Table.ScrollContainer minWidth={640}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Title</Table.Th>
            <Table.Th>Kind</Table.Th>
            <Table.Th>Aliases</Table.Th>
            <Table.Th>Stages</Table.Th>
            <Table.Th>Description</Table.Th>
            <Table.Th>Changed</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {cards.map((card) => (
            <Table.Tr key={card.ref}>
              <Table.Td>
                <CardLink card={card.ref}>{card.title}</CardLink>
              </Table.Td>
              <Table.Td>
                <KindTag kind={card.kind} />
              </Table.Td>
              <Table.Td>{numbered(card.aliases)}</Table.Td>
              <Table.Td>
                <Group gap={4}>
                  {staged(card).map(([stage, number]) => (
                    <State key={stage} tone="plain">
                      {stage} @{number}
                    </State>
                  ))}
                </Group>
              </Table.Td>
              <Table.Td maw={320}>
                <Text size="sm" c="dimmed" truncate>
                  {card.description}
                </Text>
              </Table.Td>
              <Table.Td>
                <Ago at={card.updated_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function NoCard({ filter }: { filter: CardFilter }) {
  if (filter.kind ?? filter.title ?? filter.token) {
    return (
      <Empty title="Nothing fits" commands={[]}>
        Nothing in the registry is of this kind and title.
      </Empty>
    );
  }
  return (
    <Empty title="Nothing registered yet" commands={['twinloop apply my-project']}>
      Models, prompts, datasets and all else that is registered has one place here, with its versions and their history.
    </Empty>
  );
}

function numbered(aliases: { [alias: string]: number }): string {
  return Object.entries(aliases)
    .map(([alias, number]) => `${alias} @${number}`)
    .join(', ');
}

/** Stages that somebody chose; `None` is where a revision begins. */
export function staged(card: Card): [string, number][] {
  return Object.entries(card.latest).filter(([stage]) => stage.toLowerCase() !== 'none');
}
