/** What stands where data should be: it is loading, there is none yet, or it could not be read. */

import { Alert, Button, Code, CopyButton, Group, Paper, PasswordInput, Skeleton, Stack, Text } from '@mantine/core';
import { useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';

import { ApiError, apiKey } from '../api/client';

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
  /** Height in pixels of the grey block shown while loading. */
  height?: number;
}

/** Shows `children` once the query has data; a later failure keeps the old data under a warning. */
export function Loaded<T>({ query, children, height = 160 }: LoadedProps<T>) {
  if (query.data === undefined) {
    if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
    return (
      <Stack gap="xs" role="status" aria-label="Loading">
        <Skeleton height={height} />
      </Stack>
    );
  }
  return (
    <>
      {query.isError && (
        <Alert color="yellow" mb="sm" title="What you see may be old">
          {query.error.message}
        </Alert>
      )}
      {children(query.data)}
    </>
  );
}

export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  if (error instanceof ApiError && error.status === 401) return <KeyForm message={error.message} />;
  const missing = error instanceof ApiError && error.status === 404;
  return (
    <Alert color={missing ? 'gray' : 'red'} title={missing ? 'Not here' : 'This could not be read'} role="alert">
      <Stack gap="sm" align="flex-start">
        <Text size="sm">{error.message}</Text>
        {retry && !missing && (
          <Button size="xs" variant="default" onClick={retry}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  );
}

/** Asks for an API key, keeps it for this tab, and reads everything again. */
function KeyForm({ message }: { message: string }) {
  const queries = useQueryClient();
  const [key, setKey] = useState('');
  return (
    <Paper withBorder p="lg" maw={520}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          apiKey.set(key.trim());
          void queries.resetQueries();
        }}
      >
        <Stack gap="sm">
          <PasswordInput
            label="API key"
            description={`${message} The key is kept for this tab only.`}
            value={key}
            onChange={(event) => setKey(event.currentTarget.value)}
            autoComplete="off"
            required
          />
          <Button type="submit" w="fit-content">
            Use this key
          </Button>
        </Stack>
      </form>
    </Paper>
  );
}

export function Empty({ title, children, commands }: { title: string; children: ReactNode; commands: string[] }) {
  return (
    <Paper withBorder p="lg" style={{ borderStyle: 'dashed' }}>
      <Stack gap="sm" align="flex-start">
        <Text fw={600}>{title}</Text>
        <Text size="sm" c="dimmed" maw={620}>
          {children}
        </Text>
        {commands.map((command) => (
          <Command key={command} text={command} />
        ))}
      </Stack>
    </Paper>
  );
}

function Command({ text }: { text: string }) {
  return (
    <Group gap="xs">
      <Code fz="sm">{text}</Code>
      {/* The clipboard exists only on https and loopback; elsewhere the text can still be selected. */}
      {window.isSecureContext && (
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="subtle" onClick={copy} aria-label={`Copy ${text}`}>
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      )}
    </Group>
  );
}
