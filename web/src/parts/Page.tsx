import { Box, Group, Stack, Title } from '@mantine/core';
import { useDocumentTitle } from '@mantine/hooks';
import type { ReactNode } from 'react';

interface PageProps {
  title: string;
  /** Shown right of the title: tags, badges. */
  beside?: ReactNode;
  children: ReactNode;
}

export function Page({ title, beside, children }: PageProps) {
  useDocumentTitle(`${title} · Twinloop`);
  return (
    <Stack gap="lg">
      <Group gap="sm" align="center">
        <Title order={1} style={{ overflowWrap: 'anywhere' }}>
          {title}
        </Title>
        {beside}
      </Group>
      {children}
    </Stack>
  );
}

export function Section({ title, beside, children }: PageProps) {
  return (
    <Box component="section" aria-label={title}>
      <Group justify="space-between" mb="xs">
        <Title order={2}>{title}</Title>
        {beside}
      </Group>
      {children}
    </Box>
  );
}
