import { Alert, Button, Form } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import { useWho } from '../../api/session';
import { useAllowed, Why } from '../../components/Actions';
import { Age } from '../../components/Age';
import { CLI } from '../../components/CLI';
import { TextField } from '../../components/form/controls';
import { lines } from '../../components/lines';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { bytes, isZero } from '../../components/time';
import { backup as t } from '../../texts/cluster';

/** Backups: when the last ones were made, a new one, and the way back. */
export default function Backup() {
  const s = useSummary();
  const node = useWho().node;
  const may = useAllowed('backup', 'cluster');
  const [file, setFile] = useState('');
  const save = useMutation({ mutationFn: () => must(api.POST('/v1/backup', { body: file.trim() ? { file: file.trim() } : {} })) });
  const c = t.columns;
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        <Panel title={t.now}>
          <Form
            isWidthLimited
            onSubmit={(e) => {
              e.preventDefault();
              if (!may.isAriaDisabled && !save.isPending) save.mutate();
            }}
          >
            <p>{t.nowLead(node)}</p>
            <TextField id="backup-file" label={t.file} help={t.fileHelp} value={file} onChange={setFile} />
            <div>
              <Why text={may.why}>
                <Button type="submit" isAriaDisabled={may.isAriaDisabled} isLoading={save.isPending} isDisabled={save.isPending}>
                  {save.isPending ? t.running : t.run}
                </Button>
              </Why>
            </div>
            {save.error && <ProblemAlert error={save.error} />}
            {save.data && (
              <Alert variant="success" isInline title={t.done} isLiveRegion>
                <p className="b-wrap">{t.doneBody(save.data.file, bytes(save.data.sizeBytes), save.data.revision)}</p>
              </Alert>
            )}
            <CLI args={lines.backup(file)} />
          </Form>
        </Panel>
        <Panel title={t.last}>
          <Table variant="compact" aria-label={t.last}>
            <Thead>
              <Tr>
                <Th>{c.node}</Th>
                <Th>{c.last}</Th>
              </Tr>
            </Thead>
            <Tbody>
              {(s.store.members ?? []).map((m) => (
                <Tr key={m.node}>
                  <Th scope="row" dataLabel={c.node}>
                    <Name to={nodePath(m.node)}>{m.node}</Name>
                  </Th>
                  <Td dataLabel={c.last}>{isZero(m.lastBackup) ? <span className="b-subtle">{t.never}</span> : <Age time={m.lastBackup} />}</Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Panel>
        <Panel title={t.restore}>
          <p className="b-below">{t.restoreLead}</p>
          <CLI args={lines.restore(save.data?.file ?? '/root/prod.backup')} />
        </Panel>
      </div>
    </>
  );
}
