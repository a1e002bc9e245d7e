import { Anchor, Breadcrumbs, Code, Group, Image, Paper, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState, type ReactNode } from 'react';

import { address, apiKey, bytes, quoteRef } from '../api/client';
import { filesQuery, folderQuery } from '../api/tracking';
import type { Artifact } from '../api/types';
import { size } from '../format/number';
import { Ago } from '../parts/Ago';
import { State } from '../parts/Badges';
import { Listing } from '../parts/Listing';
import { Loaded } from '../parts/States';
import { IMAGE_BYTES, imageType, TEXT_BYTES, textOf } from './preview';

/** The files of a run, a folder at a time, with a look into texts and images. */
export function Artifacts({ run }: { run: string }) {
  const folder = useQuery(folderQuery(run));
  return <Loaded query={folder}>{(root) => <Folder key={root} root={root} />}</Loaded>;
}

function Folder({ root }: { root: string }) {
  const [path, setPath] = useState(root);
  const [open, setOpen] = useState<Artifact | null>(null);
  const query = useQuery(filesQuery(path));
  const go = (folder: string) => {
    setPath(folder);
    setOpen(null);
  };
  const inside = path.slice(root.length).split('/').filter(Boolean);
  return (
    <>
      {inside.length > 0 && (
        <Breadcrumbs mb="xs" fz="sm">
          {['files', ...inside].map((name, depth) => (
            <Anchor key={depth} component="button" type="button" onClick={() => go([root, ...inside.slice(0, depth)].join('/'))}>
              {name}
            </Anchor>
          ))}
        </Breadcrumbs>
      )}
      <Loaded query={query}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Text size="sm" c="dimmed">
              It left no files.
            </Text>
          ) : (
            <>
              <FileTable files={items} onOpen={(file) => (file.is_dir ? go(file.path) : setOpen(file))} />
              {next && (
                <Text size="sm" c="dimmed" mt="xs">
                  These are the first {items.length}. A program lists them all: client.artifacts.list.
                </Text>
              )}
            </>
          )
        }
      </Loaded>
      {open && <Preview key={open.path} file={open} />}
    </>
  );
}

function FileTable({ files, onOpen }: { files: Artifact[]; onOpen: (file: Artifact) => void }) {
  return (
    <Listing minWidth={480} heads={['Name', { number: 'Size' }, 'Stored', { number: 'Download' }]}>
      {files.map((file) => (
        <Table.Tr key={file.path}>
          <Table.Td>
            <Group gap="xs">
              <Anchor component="button" type="button" size="sm" onClick={() => onOpen(file)}>
                {lastName(file.path)}
                {file.is_dir ? '/' : ''}
              </Anchor>
              {file.flag && <State tone="bad">unsafe: {file.flag}</State>}
            </Group>
          </Table.Td>
          <Table.Td className="number">{file.is_dir ? '' : size(file.size)}</Table.Td>
          <Table.Td>{file.is_dir ? '' : <Ago at={file.at} />}</Table.Td>
          <Table.Td className="number">{!file.is_dir && <Download file={file} />}</Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}

/** A link that the browser streams to disk; with an API key, which a link cannot carry, the bytes are read first. */
function Download({ file }: { file: Artifact }) {
  const save = async () => {
    const url = URL.createObjectURL(await bytes(file.path));
    const link = Object.assign(document.createElement('a'), { href: url, download: lastName(file.path) });
    link.click();
    // Not at once: the browser begins to read the bytes after this.
    window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  const label = `Download ${lastName(file.path)}`;
  if (apiKey.get()) {
    return (
      <Anchor component="button" type="button" size="sm" aria-label={label} onClick={() => void save()}>
        download
      </Anchor>
    );
  }
  return (
    <Anchor size="sm" href={address(`artifacts/${quoteRef(file.path)}`)} download={lastName(file.path)} aria-label={label}>
      download
    </Anchor>
  );
}

function Preview({ file }: { file: Artifact }) {
  const image = imageType(file.path);
  const most = image ? undefined : TEXT_BYTES;
  const fits = !image || file.size <= IMAGE_BYTES;
  const query = useQuery({
    queryKey: ['bytes', file.path, file.digest],
    queryFn: ({ signal }) => bytes(file.path, most, signal),
    enabled: fits && file.size > 0,
    staleTime: Infinity,
  });
  return (
    <Paper withBorder p="sm" mt="sm" role="region" aria-label={`Preview of ${lastName(file.path)}`}>
      <Text size="sm" fw={600} mb="xs">
        {lastName(file.path)}
      </Text>
      {file.size === 0 && <Note>It is empty.</Note>}
      {!fits && <Note>It is too large to be shown. Download it.</Note>}
      {fits && file.size > 0 && (
        <Loaded query={query}>
          {(blob) => (image ? <Picture blob={blob} type={image} name={file.path} /> : <TextPreview blob={blob} file={file} />)}
        </Loaded>
      )}
    </Paper>
  );
}

function Picture({ blob, type, name }: { blob: Blob; type: string; name: string }) {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([blob], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob, type]);
  return url ? <Image src={url} alt={name} maw="100%" w="auto" fit="contain" /> : null;
}

/** UTF-8 text; anything else is said to be no text. */
function TextPreview({ blob, file }: { blob: Blob; file: Artifact }) {
  const whole = file.size <= TEXT_BYTES;
  const query = useQuery({
    queryKey: ['text', file.path, file.digest],
    queryFn: async () => textOf(new Uint8Array(await blob.arrayBuffer()), file.path, whole),
    staleTime: Infinity,
  });
  return (
    <Loaded query={query}>
      {(text) =>
        text === null ? (
          <Note>It is no text, so it is not shown here.</Note>
        ) : (
          <>
            <Code block fz="xs" mah={480} style={{ overflow: 'auto' }}>
              {text}
            </Code>
            {!whole && <Note>This is its beginning: {size(TEXT_BYTES)} of {size(file.size)}.</Note>}
          </>
        )
      }
    </Loaded>
  );
}

function Note({ children }: { children: ReactNode }) {
  return (
    <Text size="sm" c="dimmed">
      {children}
    </Text>
  );
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
