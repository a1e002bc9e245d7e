import { Button, Group } from '@mantine/core';

interface PagesProps {
  first: boolean;
  /** The token of the page behind this one; null on the last. */
  next: string | null;
  onFirst: () => void;
  onNext: (token: string) => void;
}

/** From one page of a list to the next; nothing where one page holds it all. */
export function Pages({ first, next, onFirst, onNext }: PagesProps) {
  if (first && !next) return null;
  return (
    <Group justify="space-between">
      <Button variant="default" size="xs" disabled={first} onClick={onFirst}>
        First page
      </Button>
      <Button variant="default" size="xs" disabled={!next} onClick={() => next && onNext(next)}>
        Next page
      </Button>
    </Group>
  );
}
