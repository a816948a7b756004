"""Questions that no shop answers, in three languages: what an encoder's scores mean in a corpus.

e5 gives unrelated texts 0.75 to 0.85, USE gives them 0 to 0.3, and both move with the corpus and the language. So the
best score of a question is compared with the best scores of these.
"""

from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.detect import latin_scores
from chatscale_assistant.language.scripts import latin_words
from chatscale_assistant.retrieval.terms import has_cjk

BACKGROUND: Final = (
    "What is the capital of Australia?",
    "Who won the football match last night?",
    "Write a poem about the sea.",
    "Will it rain tomorrow in London?",
    "How do I solve a quadratic equation?",
    "Which party should I vote for?",
    "Can you help me with my tax return?",
    "What is the meaning of life?",
    "How tall is Mount Everest?",
    "Translate this sentence into Spanish.",
    "Tell me a joke about lawyers.",
    "What are the symptoms of the flu?",
    "Who painted the Mona Lisa?",
    "How do I install Linux on my server?",
    "When does the next train to Berlin leave?",
    "Is there life on other planets?",
    "Are you hiring at the moment?",
    "What is the share price of your company?",
    "澳大利亚的首都是哪里？",
    "昨晚的足球赛谁赢了？",
    "写一首关于大海的诗。",
    "明天北京会下雨吗？",
    "一元二次方程怎么解？",
    "我应该投票给哪个政党？",
    "你能帮我报税吗？",
    "人生的意义是什么？",
    "珠穆朗玛峰有多高？",
    "把这句话翻译成西班牙语。",
    "讲一个关于律师的笑话。",
    "流感有哪些症状？",
    "蒙娜丽莎是谁画的？",
    "怎么在服务器上安装Linux？",
    "下一班去上海的火车几点开？",
    "外星球上有生命吗？",
    "你们现在招人吗？",
    "你们公司的股价是多少？",
    "Quelle est la capitale de l'Australie ?",
    "Qui a gagné le match de football hier soir ?",
    "Écris un poème sur la mer.",
    "Est-ce qu'il va pleuvoir demain à Paris ?",
    "Comment résoudre une équation du second degré ?",
    "Pour quel parti dois-je voter ?",
    "Pouvez-vous m'aider avec ma déclaration d'impôts ?",
    "Quel est le sens de la vie ?",
    "Quelle est la hauteur de l'Everest ?",
    "Traduis cette phrase en espagnol.",
    "Raconte-moi une blague sur les avocats.",
    "Quels sont les symptômes de la grippe ?",
    "Qui a peint la Joconde ?",
    "Comment installer Linux sur mon serveur ?",
    "À quelle heure part le prochain train pour Lyon ?",
    "Y a-t-il de la vie sur d'autres planètes ?",
    "Est-ce que vous recrutez en ce moment ?",
    "Quel est le cours de l'action de votre entreprise ?",
)
"""18 questions in each language."""


def background_language(question: str) -> Language | None:
    """The language whose unrelated questions a question is compared with; None for one with words of neither.

    A French question is less near to English text than an English one, related or not, so each language has its own
    background.
    """
    if has_cjk(question):
        return Language.CHINESE
    scores = latin_scores(latin_words(question))
    english, french = scores[Language.ENGLISH], scores[Language.FRENCH]
    if english == french:
        return None
    return Language.ENGLISH if english > french else Language.FRENCH
