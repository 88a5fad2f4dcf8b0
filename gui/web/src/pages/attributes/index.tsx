import { Alert, Button, Form, FormGroup, FormSelect, FormSelectOption, Switch, TextInput } from '@patternfly/react-core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/client';
import { useSummary } from '../../api/live';
import { queries } from '../../api/queries';
import { useAllowed, Why } from '../../components/Actions';
import { CLI } from '../../components/CLI';
import { lines } from '../../components/lines';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { nodes } from '../../texts/nodes';
import { AttributeTable } from './Table';

const t = nodes.attributes;

/** The attributes of all nodes. */
export default function Attributes() {
  const s = useSummary();
  const names = (s.nodes ?? []).map((n) => n.name);
  const [node, setNode] = useState(names[0] ?? '');
  const [name, setName] = useState('');
  const [value, setValue] = useState('');
  const [permanent, setPermanent] = useState(true);
  const may = useAllowed('update', `node/${node}`);
  const save = useMutation({
    mutationFn: (remove: boolean) => api.POST('/v1/attribute', { body: { node, name, value: remove ? undefined : value, permanent, delete: remove || undefined } }),
    onSuccess: () => void queries.invalidateQueries({ queryKey: ['config'] }),
  });
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        <AttributeTable />
        <Panel title={t.add}>
          <Form
            isHorizontal
            onSubmit={(e) => {
              e.preventDefault();
              save.mutate(false);
            }}
          >
            <FormGroup label={t.forNode} fieldId="attribute-node">
              <FormSelect id="attribute-node" value={node} onChange={(_, v) => setNode(v)}>
                {names.map((n) => (
                  <FormSelectOption key={n} value={n} label={n} />
                ))}
              </FormSelect>
            </FormGroup>
            <FormGroup label={t.name} fieldId="attribute-name" isRequired>
              <TextInput id="attribute-name" value={name} onChange={(_, v) => setName(v)} isRequired />
            </FormGroup>
            <FormGroup label={t.value} fieldId="attribute-value">
              <TextInput id="attribute-value" value={value} onChange={(_, v) => setValue(v)} />
            </FormGroup>
            <FormGroup label={t.kept} fieldId="attribute-permanent">
              <Switch id="attribute-permanent" label={permanent ? t.permanent : t.transient} isChecked={permanent} onChange={(_, v) => setPermanent(v)} />
            </FormGroup>
            {save.error && <ProblemAlert error={save.error} />}
            {save.isSuccess && <Alert variant="success" isInline isPlain title={t.set} />}
            <div className="b-buttons">
              <Why text={may.why}>
                <Button type="submit" isAriaDisabled={may.isAriaDisabled || !name} isLoading={save.isPending}>
                  {t.save}
                </Button>
              </Why>
              <Why text={may.why}>
                <Button variant="secondary" isDanger isAriaDisabled={may.isAriaDisabled || !name} onClick={() => save.mutate(true)}>
                  {t.remove}
                </Button>
              </Why>
            </div>
            {name && <CLI args={lines.attributeSet(name, value, node, permanent)} />}
            {name && <CLI label={t.sameDelete} args={lines.attributeDelete(name, node, permanent)} />}
          </Form>
        </Panel>
      </div>
    </>
  );
}
