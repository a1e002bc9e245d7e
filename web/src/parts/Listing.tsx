import { Table } from '@mantine/core';
import type { ReactNode } from 'react';

/** A column's name; that of numbers stands right, as they do. What is false is left out. */
type Head = string | { number: string } | false;

interface ListingProps {
  heads: Head[];
  /** Pixels below which the table scrolls sideways instead of shrinking. */
  minWidth: number;
  /** The rows. */
  children: ReactNode;
}

/** The table in which every page lists things. */
export function Listing({ heads, minWidth, children }: ListingProps) {
  return (
    <Table.ScrollContainer minWidth={minWidth}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            {heads.map((head) => {
              if (head === false) return null;
              if (typeof head === 'string') return <Table.Th key={head}>{head}</Table.Th>;
              return (
                <Table.Th key={head.number} className="number">
                  {head.number}
                </Table.Th>
              );
            })}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
