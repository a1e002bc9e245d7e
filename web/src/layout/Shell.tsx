/** The frame around every page: navigation, the server's state, and light or dark. */

import { ActionIcon, AppShell, Box, Burger, Group, Text, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';

import { ApiError } from '../api/client';
import { statusQuery } from '../api/queries';
import { EndpointIcon, ExperimentIcon, Mark, MoonIcon, RegistryIcon, ReleaseIcon, RevisionIcon, SunIcon, TraceIcon } from './icons';

const PAGES = [
  { to: '/', label: 'Endpoints', icon: <EndpointIcon /> },
  { to: '/releases', label: 'Releases', icon: <ReleaseIcon /> },
  { to: '/traces', label: 'Traces', icon: <TraceIcon /> },
  { to: '/experiments', label: 'Experiments', icon: <ExperimentIcon /> },
  { to: '/registry', label: 'Registry', icon: <RegistryIcon /> },
  { to: '/revisions', label: 'Revisions', icon: <RevisionIcon /> },
] as const;

/** Pages that belong to a list and do not lie below it: endpoints are listed at the root, runs by experiment. */
const INSIDE: { [list: string]: string[] } = { '/': ['/endpoints/'], '/experiments': ['/runs/', '/compare'] };

export function Shell() {
  const [opened, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  useEffect(close, [pathname, close]);
  return (
    <AppShell
      layout="alt"
      header={{ height: { base: 48, sm: 0 } }}
      navbar={{ width: 208, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding={{ base: 'sm', sm: 'lg' }}
    >
      <a className="skip" href="#content">
        Skip to content
      </a>
      <AppShell.Header hiddenFrom="sm" px="sm">
        <Group h="100%" gap="sm">
          <Burger opened={opened} onClick={toggle} size="sm" aria-label="Navigation" />
          <Text fw={600}>Twinloop</Text>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" style={{ background: 'var(--sunk)' }}>
        <Navigation onClose={close} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} style={{ outline: 'none' }}>
        <Box maw={1320} mx="auto">
          <Outlet />
        </Box>
      </AppShell.Main>
    </AppShell>
  );
}

function Navigation({ onClose }: { onClose: () => void }) {
  const { pathname } = useLocation();
  return (
    <>
      <Group gap="xs" px={12} py={6} mb="sm">
        <Mark />
        <Text fw={650} size="lg">
          Twinloop
        </Text>
        <Burger ml="auto" hiddenFrom="sm" opened onClick={onClose} size="sm" aria-label="Close navigation" />
      </Group>
      <Box component="nav" aria-label="Pages" style={{ flex: 1 }}>
        {PAGES.map(({ to, label, icon }) => (
          <Link
            key={to}
            to={to}
            className="nav-link"
            activeOptions={{ exact: to === '/', includeSearch: false }}
            data-inside={INSIDE[to]?.some((folder) => pathname.startsWith(folder)) ? true : undefined}
          >
            {icon}
            {label}
          </Link>
        ))}
      </Box>
      <ServerState />
    </>
  );
}

function ServerState() {
  const { data, error } = useQuery(statusQuery);
  const away = error instanceof ApiError && error.code === 'unreachable';
  return (
    <Group justify="space-between" wrap="nowrap" px={12} align="flex-end">
      <Box miw={0}>
        {away ? (
          <Text size="xs" c="red" role="status">
            The server does not answer
          </Text>
        ) : (
          data && (
            <Text size="xs" c="dimmed" component="div">
              <Box>Twinloop {data.version}</Box>
              <Box className="truncate" title={`Home ${data.home}`}>
                tenant {data.tenant}
              </Box>
            </Text>
          )
        )}
      </Box>
      <ThemeSwitch />
    </Group>
  );
}

function ThemeSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const other = useComputedColorScheme('light') === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon variant="subtle" color="gray" onClick={() => setColorScheme(other)} aria-label={`Switch to the ${other} theme`}>
      {other === 'light' ? <SunIcon /> : <MoonIcon />}
    </ActionIcon>
  );
}
