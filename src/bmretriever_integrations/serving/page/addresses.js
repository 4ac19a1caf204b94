// Addresses of other sites, made of ids that have the form that they must have. An address in a record is never taken as it is.

import { listOf } from "./texts.js";

const PMID = /^[1-9][0-9]{0,8}$/;
const PMCID = /^PMC[0-9]{1,12}$/;
const DOI = /^10\.\d{4,9}\/\S+$/;

export const pubmed = (pmid) => (PMID.test(pmid ?? "") ? `https://pubmed.ncbi.nlm.nih.gov/${pmid}/` : null);

export const pmc = (pmcid) => (PMCID.test(pmcid ?? "") ? `https://pmc.ncbi.nlm.nih.gov/articles/${pmcid}/` : null);

/** The DOI of a record if it is one, else null. */
export function doiOf(hit) {
  const [doi] = listOf(hit.metadata?.doi);
  return doi !== undefined && DOI.test(doi) ? doi : null;
}

/** The address of a DOI; its characters stay in the path. */
export const doiAddress = (doi) => `https://doi.org/${doi.split("/").map(encodeURIComponent).join("/")}`;
