import { useSummary } from '../../api/live';
import { LinkTable } from '../../components/LinkTable';
import { PageTitle } from '../../components/PageTitle';
import { links as t } from '../../texts/protect';

/** The links between nodes. */
export default function Links() {
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <LinkTable links={useSummary().links ?? []} />
    </>
  );
}
