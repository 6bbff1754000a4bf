/** The key of an attachment: all that is made for it is found again by this. @see CNI specification, section 2 */
export interface AttachmentId {
  network: string;
  containerId: string;
  ifName: string;
}
