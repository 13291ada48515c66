// Package repo decides what a stream of packages should consist of and makes a bucket serve it.
//
// Whatever is done to a stream — a cut, a new signature, later a rollback or a repair — takes the same way. A [Publisher]
// reads the stream's [State], works out the [Contents] that it should have, and makes a [Plan]: the complete list of
// objects that differ, as a value that can be printed and compared. Executing that very value is the only thing in this
// program that changes what clients see. Deleting what nobody needs is planned as a [Collection].
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
// one in any case, and refuses what does not fit together until all are there. In the first publication of a stream all but
// the last go out together: nobody is between two states then.
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
// What comes behind the pointers, in the lists of streams, in aliases and at a CDN, is done by whoever executed the plan, who
// then leaves a note of it with [Publisher.Settle]. A run that has nothing to publish reads the note, which stands for the
// last pointer, too; without it, it does all of that once more, since the run before may have died in the midst of it. A
// pointer that somebody overwrites in the bucket later is found by a reconciliation, and by a check that reads as a client.
//
// # What is known of packages without reading them
//
// Everything that an index says of a package stands in the live index, which the manifest names by its digest: so a
// publisher on a new machine adds a package without reading the others. There are no records beside it. They would repeat
// what is in the index, and could differ from it; and of the work of a publication with ten thousand packages, the
// compression that kept pieces would save was a tenth, while most was the strict reading of every stanza, which has to be
// done of records as well. It is done once now, on all processors (a package that is as it was read need not be checked
// again, see apt.Index). Directories in place are another matter: see package dir.
//
// That what the index says of a package matches it was made sure of when the package came. [Publisher.Reread] makes sure of
// it again, with the rules of today: it reads all packages, and a record that does not match is told of and made anew in the
// next publication, without a change of any package.
//
// # Advisories
//
// The advisories of a stream are those of its configuration about rpms that are in its index, whatever the change: so they
// come with a package, go with it, and change the yum repository alone when only their text does. That they are as published
// is found by making them again of the live primary, which is all that an idle plan reads for it. A configuration that
// says nothing of advisories keeps the published ones, as far as their packages stay. A signer on another machine makes
// them of its own configuration, and signs no others.
//
// # How users get to know new keys
//
// A stream may have a member that is the [KeyringPackage]: it fits every architecture and holds the publisher's keyring. The plan
// of any change brings it along when the stream does not have its present version, so there is no way to publish other keys
// without it; a frozen stream gets it with a new signature. Its version follows from the keys, or is given; the gate compares
// the keys that users are given now, which the manifest has, with those of the keyring, and refuses a version that stays although
// they change or that no machine would upgrade to. A rollback leaves these packages alone. repomd.xml names the further keys for
// zypper, see yum.KeyHint.
//
// An rpm that is built again after another key took its turn differs in its signature alone. Then what is published stays.
//
// # From staging to production
//
// Nothing but HEAD and the mirrorlist has a bucket's address in it, and a manifest says where a mirrorlist leads and not at
// which address: so a manifest, and all that it lists, is the same in every bucket. A promotion is a plan whose objects come
// from another bucket. What is live in the bucket must be an earlier publication there; the manifests since come along, and
// the chain of records goes on. The commit is that of HEAD, as ever, and HEAD names a record of the promotion.
//
// # How objects go
//
// An object that nothing names is deleted a retention after it was first seen to be so, and the retention is a day at least.
// A collection goes through these steps:
//
//  1. It reads HEAD, and the manifests of the publications that are kept in any case: the live one and the last that were
//     live in this bucket before. Then it reads the list of unnamed objects, then it lists the bucket.
//  2. It writes the list anew, on the condition that it is still the one that was read: with what is unnamed now and since
//     when, and with those objects that it is going to delete, until a time that is some minutes ahead. An object that was
//     written since it was put on the list starts anew.
//  3. It deletes these, on the condition of their generations, until that time.
//  4. It takes them off the list.
//
// A publisher that is about to name an object which the bucket has already, and which none of the said manifests names, reads
// the list first and looks for the object afterwards. If the object is on the list, the publisher takes it off, with the
// same kind of condition, and looks once more. If it is being deleted, the publisher gives up, and can come back in some
// minutes. No plan is committed more than half a day after it was begun.
//
// Why nothing that a publication names is deleted, whatever comes in between: suppose that the object is not on the list when
// the publisher looks, or not any more. Then a collection that deletes it has to find it on the list when it begins, and
// at least a day old there. So that collection begins a day after the publisher looked, less the hour that the one which
// put it on the list may have taken. By then the publication was committed or never will be, and in the former case HEAD
// names the object, or has named it in a manifest that is kept. If the object is taken off the list, any collection that
// is between its steps 1 and 2 fails at 2 since the list is another. All of this asks of clocks only that they are right to
// some minutes, which a collection makes sure of with the time that the store puts on its list. And what a publisher finds in
// the manifests that are kept needs no list: a collection that does not see them there read a HEAD that is older or newer
// than the publisher's. Older, it began before that publication, of which the same argument speaks. Newer, the publisher's
// commit fails.
//
// (One gap is left in S3, where an object that is written again with the same bytes has the same generation: when the answer
// to a deletion is lost, and within the seconds until it is sent again somebody publishes the very object anew.)
//
// # What the signer signs
//
// A publisher never signs bytes that it was given. It verifies the signatures on the live index, reads every new package
// file itself, merges the two, runs the gates, and signs the index that it derived from that.
package repo
