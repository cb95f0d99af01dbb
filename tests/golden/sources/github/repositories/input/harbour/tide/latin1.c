/* Gezeiten für Häfen */
