import { Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import { Page } from '../parts/Page';

export function NotFoundPage() {
  return (
    <Page title="No such page">
      <Text>
        The console has no page at this address. Go to the{' '}
        <Link to="/" className="link">
          endpoints
        </Link>
        .
      </Text>
    </Page>
  );
}
