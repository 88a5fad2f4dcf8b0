import { useParams } from 'react-router';
import { Loaded } from '../configuration/Edit';

/** A resource's form; without an id that of a new one. */
export default function EditResource() {
  const { id } = useParams();
  return <Loaded key={id ?? ''} kind="resource" id={id} />;
}
