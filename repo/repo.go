// Package repo decides what a stream of packages should consist of and makes a bucket serve it.
//
// Whatever is done to a stream — a cut, a new signature, later a rollback or a repair — takes the same way. A [Publisher]
// reads the stream's [State], works out the [Contents] that it should have, and makes a [Plan]: the complete list of
// objects that differ, as a value that can be printed and compared. Executing that very value is the only thing in this
// program that changes a bucket.
//
// # How a publication becomes live
//
// Clients read a stream through pointers, objects with fixed names such as InRelease. All else is immutable. A plan is
// executed in this order, and stops at the first error:
//
//  1. Package files and hashed metadata are created under names that nothing refers to yet, many at a time, and after
//     them the manifest.
//  2. HEAD is replaced, if it still has the generation that the plan was made from. This is the commit. When somebody
//     else was faster, a [*RaceError] is returned and nothing that clients see has moved.
//  3. Each pointer is overwritten, if it still has the generation that was read before the commit. When it has not, its
//     generation and HEAD are read again, in this order: as long as HEAD is ours, the write is tried again, and otherwise
//     somebody newer is responsible for the pointers.
//
// Pointers have turns, and each turn begins when the one before has ended: keys; then InRelease and mirrorlist, from which
// on apt and clients of mirrorlist= find all else by digest; then the plain names Packages, Packages.gz, Release and
// Release.gpg; repomd.xml; and repomd.xml.asc at once. The writes of one turn go out together. No client can tell in which
// order: one that follows digests reads one pointer of the turn, and one that reads the plain names sees them change one by
// one in any case, and refuses what does not fit together until all are there.
//
// Why this is safe with any number of publishers: a pointer is only written on the condition of a generation that was
// read before a moment at which HEAD was known to be the writer's own. A publisher that commits later writes after this
// moment. If its write of the pointer came first, the generation is another and the condition fails; if it comes after, it
// is the one that stays. (The generation of an object in S3 follows from its bytes. There, a write that is under way for
// so long that a rollback can give Packages the same bytes again meanwhile would come through, and spoil the plain names
// until the next publication.)
//
// A run that dies after the commit leaves pointers behind that are older than HEAD, and which still form a consistent
// repository. The last pointer has other bytes in every publication and is written alone, when all others are right. So the
// next run, of anything, finds by one reading that it differs from the manifest and projects the pointers again before it
// does its own work; since the manifest holds their signed bytes, that needs no key.
//
// # What the signer signs
//
// A publisher never signs bytes that it was given. It verifies the signatures on the live index, reads every new package
// file itself, merges the two, runs the gates, and signs the index that it derived from that.
package repo
