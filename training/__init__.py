"""How voiced-mini is made: its world, its speech, its codec, its training and its figures. Never imported by the product."""
