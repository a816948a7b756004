"""Frequent words of English and French, which distinguish them in texts that are too short for a statistical model. Pure."""

from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language

ENGLISH: Final = frozenset(
    """
    the a an and or but not no of to in is are was were be been am i i'm i've i'd you your yours he she it its it's we
    they my me mine this that these those there here what which who when where where's wheres why how can can't cant
    cannot could would should will won't did didn't do don't dont does doesn't have haven't has had for from with without
    about at by as if than then so too very just please pls plz thanks thank thx hi hello hey yes yeah yep nope ok
    order orders return returned refund cancel cancelled exchange ship shipped shipping delivery delivered deliver parcel
    package price prices cost costs much many buy want wanna need like get got give show find help want stock available
    size color colour person human agent someone somebody speak talk payment card address item items product products
    any some all also only still yet already again another other which whose tracking bought arrived broken wrong bad good
    great late money back never ever always now today tomorrow yesterday week day days long far goodbye bye morning
    evening sorry sure confirm correct right change policy store shop open opening hours recommend under cheaper our us
    """.split()
)
FRENCH: Final = frozenset(
    """
    le la les l un une des du de d et ou mais ne n pas non plus est sont suis es sommes etes etait etaient etre ete ai as
    a avons avez ont avait je j tu il elle on nous vous ils elles mon ma mes ton ta tes son sa ses notre nos votre vos leur
    leurs ce cet cette ces c ca cela qui que qu quoi quel quelle quels quelles quand ou comment pourquoi combien si
    dans en sur sous avec sans pour par chez vers entre depuis jusque au aux y deja encore toujours jamais rien tout tous
    toute toutes tres trop aussi alors donc bien mal merci bonjour bonsoir salut svp stp oui ouais voila allo coucou
    commande commandes colis livraison livrer livre livree retour retourner renvoyer rendre remboursement rembourser
    rembourse annuler annulez annule echanger echange prix cout coute acheter achete veux voudrais souhaite souhaiterais
    peux peut pouvez puis-je pourrais faut besoin aide aidez article articles produit produits taille couleur paiement carte
    adresse magasin boutique ouvert horaires conseiller personne humain quelqu quelqu'un parler suivi numero facture
    recu arrive arrivee casse mauvais bon bonne nul nulle honte scandaleux argent jours semaine mois aujourd'hui demain
    hier disponible stock quelle est-ce c'est qu'est-ce j'ai j'aimerais d'accord s'il plait revoir moins cher chaussures
    faire fais fait avoir mettre changer modifier confirmer confirme ici la-bas ete etes cadeau frais port gratuit
    """.split()
)
_SHARED: Final = (ENGLISH & FRENCH) | {
    "ok",
    "on",
    "as",
    "me",
    "son",
    "but",
    "an",
    "do",
    "article",
    "articles",
    "or",
    "a",
    "stock",
}
_DISTINCT: Final = {Language.ENGLISH: ENGLISH - _SHARED, Language.FRENCH: FRENCH - _SHARED}
_ELISIONS: Final = ("l'", "d'", "j'", "qu'", "n'", "s'", "c'", "m'", "t'", "jusqu'", "lorsqu'")
_ACCENTS: Final = frozenset("àâçèéêëîïôùûüœæ")


def count_words(word: str, folded: str) -> dict[Language, float]:
    """How strongly one word points to each language; `folded` is the word without accents."""
    scores = {language: float(folded in words) for language, words in _DISTINCT.items()}
    if folded.startswith(_ELISIONS) and len(folded) > 2:  # noqa: PLR2004 - an elision and a letter
        scores[Language.FRENCH] += 1.5
    elif _ACCENTS & set(word):
        scores[Language.FRENCH] += 1.0
    if word.endswith(("'s", "n't", "'ll", "'re", "'ve", "ing")) and not word.startswith(_ELISIONS):
        scores[Language.ENGLISH] += 0.5
    return scores
