import { Button, Group, MultiSelect, SegmentedControl, Stack } from '@mantine/core';
import { useLocalStorage } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { experimentQuery, runsQuery, type RunFilter } from '../api/tracking';
import type { Experiment, Run } from '../api/types';
import { State } from '../parts/Badges';
import { Page } from '../parts/Page';
import { Pages } from '../parts/Pages';
import { SearchForm } from '../parts/SearchForm';
import { Empty, Loaded } from '../parts/States';
import { available, preferred, type Column } from '../runs/columns';
import { RunTable } from '../runs/RunTable';

export function ExperimentPage() {
  const { id } = useParams({ from: '/experiments/$id' });
  const query = useQuery(experimentQuery(id));
  const deleted = query.data?.lifecycle === 'deleted';
  return (
    <Page title={query.data?.name ?? `Experiment ${id}`} beside={deleted && <State tone="bad">deleted</State>}>
      <Loaded query={query} height={400}>
        {(experiment) => <Runs key={experiment.id} experiment={experiment} />}
      </Loaded>
    </Page>
  );
}

function Runs({ experiment }: { experiment: Experiment }) {
  const filter = useSearch({ from: '/experiments/$id' });
  const navigate = useNavigate({ from: '/experiments/$id' });
  const [chosen, setChosen] = useState<string[]>([]);
  const query = useQuery({ ...runsQuery(experiment.name, filter), placeholderData: keepPreviousData });
  const show = (next: RunFilter) => void navigate({ search: { ...filter, token: undefined, ...next } });
  const note = experiment.tags['mlflow.note.content'];
  return (
    <Stack gap="md">
      {note && <div style={{ whiteSpace: 'pre-wrap' }}>{note}</div>}
      <Filters filter={filter} show={show} />
      <Loaded query={query} height={400}>
        {({ items, next }) =>
          items.length === 0 ? (
            <NoRun filter={filter} experiment={experiment} />
          ) : (
            <>
              <Listed experiment={experiment} runs={items} filter={filter} show={show} chosen={chosen} onChoose={setChosen} />
              <Pages first={!filter.token} next={next} onFirst={() => show({})} onNext={(token) => show({ token })} />
            </>
          )
        }
      </Loaded>
    </Stack>
  );
}

interface FilterProps {
  filter: RunFilter;
  show: (next: RunFilter) => void;
}

function Filters({ filter, show }: FilterProps) {
  return (
    <SearchForm
      label="Filter"
      placeholder="metrics.loss < 0.3 AND params.model = 'tree' AND tags.team = 'ops'"
      value={filter.filter}
      onSearch={(text) => show({ filter: text })}
    >
      <SegmentedControl
        aria-label="Lifecycle"
        data={[
          { value: 'active', label: 'Active' },
          { value: 'deleted', label: 'Deleted' },
        ]}
        value={filter.view ?? 'active'}
        onChange={(view) => show({ view: view === 'deleted' ? 'deleted' : undefined })}
      />
    </SearchForm>
  );
}

interface ListedProps extends FilterProps {
  experiment: Experiment;
  runs: Run[];
  chosen: string[];
  onChoose: (ids: string[]) => void;
}

/** The table, with the reader's own choice of columns, which this browser keeps for each experiment. */
function Listed({ experiment, runs, filter, show, chosen, onChoose }: ListedProps) {
  const navigate = useNavigate();
  const columns = available(runs);
  const [picked, setPicked] = useLocalStorage<Column[] | null>({
    key: `twinloop-columns-${experiment.id}`,
    defaultValue: null,
    getInitialValueInEffect: false,
  });
  const shown = picked ?? preferred(columns);
  return (
    <>
      <Group align="flex-end" gap="sm">
        <MultiSelect
          label="Columns"
          size="xs"
          searchable
          clearable
          hidePickedOptions
          placeholder="metrics and params"
          data={[...new Set([...columns, ...shown])]}
          value={shown}
          onChange={setPicked}
          style={{ flex: 1 }}
        />
        {chosen.length > 0 && (
          <Button variant="default" size="xs" onClick={() => onChoose([])}>
            Choose none
          </Button>
        )}
        <Button
          size="xs"
          disabled={chosen.length < 2}
          onClick={() => void navigate({ to: '/compare', search: { runs: chosen.join(',') } })}
        >
          Compare {chosen.length < 2 ? 'runs' : `${chosen.length} runs`}
        </Button>
      </Group>
      <RunTable
        runs={runs}
        columns={shown}
        order={filter.order}
        chosen={chosen}
        onOrder={(order) => show({ order })}
        onChoose={onChoose}
      />
    </>
  );
}

function NoRun({ filter, experiment }: { filter: RunFilter; experiment: Experiment }) {
  if (filter.filter ?? filter.view ?? filter.token) {
    return (
      <Empty title="No run fits" commands={[]}>
        No run of this experiment matches. Clear the filter, or look among the active runs.
      </Empty>
    );
  }
  return (
    <Empty title="No run yet" commands={[`with tl.run(experiment="${experiment.name}") as run:`, 'export MLFLOW_TRACKING_URI=' + window.location.origin]}>
      A run begins with tl.run() in a program, or in any MLflow script whose MLFLOW_TRACKING_URI is this server.
    </Empty>
  );
}
