int dual;
