import { Button, Group, TextInput } from '@mantine/core';
import { useEffect, useState, type ReactNode } from 'react';

interface SearchFormProps {
  label: string;
  placeholder?: string;
  value: string | undefined;
  onSearch: (text: string | undefined) => void;
  /** Shown before the field. */
  before?: ReactNode;
  /** Shown behind the button. */
  children?: ReactNode;
}

/** A text that is searched for when it is sent, and not at every key. */
export function SearchForm({ label, placeholder, value, onSearch, before, children }: SearchFormProps) {
  const [text, setText] = useState(value ?? '');
  useEffect(() => setText(value ?? ''), [value]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(text.trim() || undefined);
      }}
    >
      <Group align="flex-end" gap="sm">
        {before}
        <TextInput
          label={label}
          placeholder={placeholder}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          style={{ flex: '1 1 260px' }}
          maw={placeholder ? undefined : 320}
          spellCheck={false}
        />
        <Button type="submit" variant="default">
          Search
        </Button>
        {children}
      </Group>
    </form>
  );
}
